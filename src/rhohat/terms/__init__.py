"""The parts of the cost J besides the network: losses, penalties, and corruptions of the inputs."""
