"""Find lesions in photographs of the eye."""
