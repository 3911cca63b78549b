"""HAM10000: 10015 photographs of skin lesions in seven classes."""

from __future__ import annotations

from rkd_jax.data import class_layouts
from rkd_jax.data.builders import _classes


class Ham10000(_classes.ClassesBuilder):
    """HAM10000 (Tschandl et al. 2018), grouped by lesion; CC BY-NC 4.0."""

    layout = (
        "HAM10000_metadata.csv, and HAM10000_images_part_1/ISIC_0024306.jpg or the "
        "like in any folder"
    )
    classes = class_layouts.HAM10000_CLASSES
    homepage = "https://doi.org/10.7910/DVN/DBW86T"
    citation = """\
@article{tschandl2018ham10000,
  title = {The {HAM10000} dataset, a large collection of multi-source dermatoscopic
           images of common pigmented skin lesions},
  author = {Tschandl, Philipp and Rosendahl, Cliff and Kittler, Harald},
  journal = {Scientific Data},
  volume = {5},
  pages = {180161},
  year = {2018},
  doi = {10.1038/sdata.2018.161},
}"""

    def listed(self):
        return class_layouts.ham10000(self.raw())
