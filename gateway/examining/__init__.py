"""Looks, for ``gateway doctor``, at all that its checks judge. Changes nothing."""
