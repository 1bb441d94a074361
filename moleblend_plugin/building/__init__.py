"""The build as a library: a plan in, stores and a result out (``plan`` says what, ``run`` how)."""
