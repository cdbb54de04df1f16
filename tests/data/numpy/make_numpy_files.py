"""Writes the .npy files in this folder by NumPy itself: `python make_numpy_files.py` (NumPy 2.4.6 made those here)."""
import numpy as np

tokens = (np.arange(600) * 7919 % 50257).astype(np.uint16)
np.save("version1.npy", tokens)
with open("version2.npy", "wb") as file:
    np.lib.format.write_array(file, tokens, version=(2, 0))
np.save("two_dimensions.npy", tokens[:8].reshape(2, 4))
np.save("big_endian.npy", tokens[:8].astype(">u2"))
np.save("int64.npy", tokens[:8].astype(np.int64))
