"""Names of files as text that means the same in every locale."""


def portable(text: str) -> str:
    r"""Return text in which names of files do not depend on the locale.

    Python keeps the bytes of a name that are no text in the locale as surrogates; here
    they are what they are in UTF-8, if anything.

    >>> portable("caf\udcc3\udca9"), portable("caf\udce9")
    ('caf\xe9', 'caf\udce9')
    """
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other halves of pairs: names on Windows
        return text
    return data.decode("utf-8", "surrogateescape")
