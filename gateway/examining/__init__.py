"""Looks, for ``gateway doctor``, at all that its checks judge. Changes nothing but what is
remembered of the hashes of models' files.
"""
