"""What runs the steps. Importing anything here touches neither the network nor the environment."""
