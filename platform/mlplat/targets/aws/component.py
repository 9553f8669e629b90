"""What every component of the AWS target does alike."""

from __future__ import annotations

from typing import Any

import pulumi

from mlplat.targets.aws.site import Site


class Component(pulumi.ComponentResource):
    """One noun of the foundation: its resources are its children, and inherit its provider."""

    def __init__(self, noun: str, name: str, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"mlplat:aws:{noun}", name, None, opts)
        self.noun = noun
        self.site = site

    def child(self, **more: Any) -> pulumi.ResourceOptions:
        """Return the options of a child."""
        return pulumi.ResourceOptions(parent=self, **more)

    def kept(self, **more: Any) -> pulumi.ResourceOptions:
        """Return the options of a child that holds data: where the stack is protected it is neither deleted nor lost.

        `protect` refuses its deletion; `retain_on_delete` keeps it when the stack is ended without its data. Both live
        in the state: `down --delete-data` turns them off by an `up` before it deletes.
        """
        return self.child(protect=self.site.protected, retain_on_delete=self.site.protected, **more)

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of this component's things."""
        return self.site.tags(self.noun.lower())

    def named(self, name: str) -> dict[str, str]:
        """Return the tags of a thing that AWS's pages know by the tag `Name`."""
        return {**self.tags, "Name": name}
