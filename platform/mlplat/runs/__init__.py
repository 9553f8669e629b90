"""A project's pipeline runs: started as processes of their own, watched, recorded under `.mlplat/runs/`."""
