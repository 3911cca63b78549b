"""How well maps find lesions: by pixel and by lesion, with intervals."""
