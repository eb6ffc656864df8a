"""What every process of our own beside the serving ones needs: isolation, and frames to talk in."""
