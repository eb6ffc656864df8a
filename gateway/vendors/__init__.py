"""Who is who: the vendor catalog and the grammar of each channel's model ids. Pure."""
