"""What J is made of beside a network: losses, penalties, and what is done to the inputs."""
