"""Groups of ground truths, one file each, run by `qcgen selfcheck` and by the tests. May import all of `distill`, but
not each other. To add a group, write a class that follows `selfcheck.GroundTruth`; give every tolerance its reason."""
