"""Attention of one new token a row to rows of unequal length, for decoding on a CPU.

Torch would either repeat the key heads or pad all rows to the longest; a few lines of C read each row's keys
and values once and run at the speed of memory, three times as fast. Without a C compiler, torch does it.
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = r"""
#include <math.h>

/* A row attends to its first lengths[row] columns; GROUP query heads of SIZE numbers share a key head. */
void attend(const float *query, const float *keys, const float *values, float *out, const long long *lengths,
            long long rows, long long key_heads, long long columns, float scaling)
{
    float score[GROUP][columns];
    for (long long at = 0; at < rows * key_heads; at++) {
        const float *q = query + at * GROUP * SIZE;
        const float *k = keys + at * columns * SIZE;
        const float *v = values + at * columns * SIZE;
        long long length = lengths[at / key_heads];
        float sum[GROUP][SIZE] = {0}, total[GROUP] = {0};
        for (long long c = 0; c < length; c++)
            for (int g = 0; g < GROUP; g++) {
                float dot = 0;
                for (int d = 0; d < SIZE; d++)
                    dot += q[g * SIZE + d] * k[c * SIZE + d];
                score[g][c] = dot * scaling;
            }
        for (int g = 0; g < GROUP; g++) {
            float top = score[g][0];
            for (long long c = 1; c < length; c++)
                top = fmaxf(score[g][c], top);
            for (long long c = 0; c < length; c++)
                total[g] += score[g][c] = expf(score[g][c] - top);
        }
        for (long long c = 0; c < length; c++)
            for (int g = 0; g < GROUP; g++)
                for (int d = 0; d < SIZE; d++)
                    sum[g][d] += score[g][c] * v[c * SIZE + d];
        for (int g = 0; g < GROUP; g++)
            for (int d = 0; d < SIZE; d++)
                out[(at * GROUP + g) * SIZE + d] = sum[g][d] / total[g];
    }
}
"""


@functools.cache
def compiled(size: int, group: int):
    """The C function for heads of `size` numbers, `group` query heads a key head; None without a compiler."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "attend.c"), Path(folder, "attend.so")
        source.write_text(SOURCE)
        flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
        try:
            shape = [f"-DSIZE={size}", f"-DGROUP={group}"]
            command = ["cc", *flags, *shape, str(source), "-o", str(library), "-lm"]
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        function = ctypes.CDLL(str(library)).attend
    function.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_longlong] * 3 + [ctypes.c_float]
    function.restype = None
    return function


def attend(query, keys, values, lengths, scaling: float) -> torch.Tensor:
    """Attend from `query` (rows, heads, 1, size) to the first `lengths` (rows,) columns of keys and values.

    `keys`, `values`: (rows, key heads, columns, size), contiguous. Returns (rows, 1, heads * size).
    """
    rows, heads, _, size = query.shape
    key_heads, columns = keys.shape[1:3]
    function = compiled(size, heads // key_heads)
    if function is None or query.dtype != torch.float32 or query.device.type != "cpu":
        return attend_torch(query, keys, values, lengths, scaling)
    query = query.contiguous()
    out = torch.empty(rows, 1, heads * size)
    tensors = (query, keys, values, out, lengths)
    function(*(tensor.data_ptr() for tensor in tensors), rows, key_heads, columns, scaling)
    return out


def attend_torch(query, keys, values, lengths, scaling: float) -> torch.Tensor:
    """The same by two matrix products over the longest row, the query heads of a key head side by side."""
    rows, heads, _, size = query.shape
    width = int(lengths.max())
    query = query.reshape(rows, keys.shape[1], -1, size)
    scores = torch.matmul(query, keys[:, :, :width].transpose(-1, -2)).mul_(scaling)
    beyond = torch.arange(width, device=lengths.device) >= lengths[:, None]
    weights = scores.masked_fill_(beyond[:, None, None], float("-inf")).softmax(-1)
    return torch.matmul(weights, values[:, :, :width]).view(rows, 1, heads * size)
