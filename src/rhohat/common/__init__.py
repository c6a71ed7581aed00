"""Code that all parts of rhohat share: arrays, blocks of rows, random draws, errors, forks, and atomic writes."""
