"""The commands of ``byjy``, one module for each family. They parse; the work is imported when it is asked for."""
