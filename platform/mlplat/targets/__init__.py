"""Where a platform can stand. Each target is a package with the same promises (`mlplat.contracts`)."""
