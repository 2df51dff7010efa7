"""What definitions written for Determined import, answered by the rooms of this house.

``import determined`` and ``import determined_common`` in a model definition lead here, by :mod:`detjupyter.definition.isolation`, whether
or not the distribution ``determined`` is installed, so that its classes and ours are never mixed. What the kernel's own cells get by
``import determined`` is handled by :mod:`detjupyter.compat.kernel`. A package here has the name that the definition uses, and holds names
only: the implementation is in the room of its subject.
"""
