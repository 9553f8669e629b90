"""What runs once, beside the services: `python -m mlplat.jobs.<name>`, on the cluster or by hand."""
