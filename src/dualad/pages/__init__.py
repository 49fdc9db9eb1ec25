"""Pages for a browser: galleries of images, and the page that leads to everything else."""
