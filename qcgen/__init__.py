"""qcgen: image batches that a company can sign off."""
