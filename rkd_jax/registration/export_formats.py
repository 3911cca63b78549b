"""Names of the formats in which a transform is written for other programs."""

FORMATS = {
    "itk": "displacement.mha",
    "slicer": "slicer_displacement.mha",
    "opencv": "opencv_maps.npz",
    "bigwarp": "bigwarp.csv",
    "qupath": "qupath.json",
}
"""The file of each format, in the folder of a pair."""
