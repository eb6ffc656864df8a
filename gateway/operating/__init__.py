"""What operators do: the operations of a running gateway, put together from its parts, and those
that commands do by themselves where none runs.
"""
