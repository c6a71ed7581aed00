"""What all rooms use: arrays, cuts of rows into blocks, keyed random draws, errors, forks, files that appear whole."""
