"""The controller on a cluster: endpoint documents as custom resources, revisions as Deployments behind one gateway.

Decisions, transitions and the loop's steps are those of every target (`mlplat.controller`); here are the two ports.
"""
