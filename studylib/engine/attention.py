"""Attention of one new token a row to rows of unequal length, for decoding on a CPU.

Torch would repeat the key heads, pad all rows to the longest, and read a prompt again for each of its answers. A few
lines of C read what is there, answers of one prompt side by side, at the speed of memory. Without a C compiler (or on
a GPU, or in another precision) torch does it.
"""

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = r"""
#include <math.h>
typedef long long whole;

static void scores(const float *q, const float *k, whole length, whole width, float scaling, float *score)
{
    for (whole c = 0; c < length; c++)
        for (int g = 0; g < GROUP; g++) {
            float dot = 0;
            for (int d = 0; d < SIZE; d++)
                dot += q[g * SIZE + d] * k[c * SIZE + d];
            score[g * width + c] = dot * scaling;
        }
}

static void add(const float *v, whole length, whole width, const float *weight, float sum[GROUP][SIZE])
{
    for (whole c = 0; c < length; c++)
        for (int g = 0; g < GROUP; g++)
            for (int d = 0; d < SIZE; d++)
                sum[g][d] += weight[g * width + c] * v[c * SIZE + d];
}

/* A row attends to its prompt (parts, layers, key heads, prompt_lengths[row], SIZE), of which `layer` is read, and to
   the first lengths[row] of its own columns; GROUP query heads share a key head. Rows are taken in `order`. */
void attend(const float *query, const float *keys, const float *values, float *out, const whole *lengths,
            float **prompts, const whole *prompt_lengths, const whole *order, whole rows, whole key_heads,
            whole columns, whole layer, whole layers, whole width, float scaling)
{
    float weight[GROUP * width];
    for (whole turn = 0; turn < rows; turn++)
        for (whole head = 0; head < key_heads; head++) {
            whole row = order[turn], at = row * key_heads + head;
            whole before = prompt_lengths[row], own = lengths[row], piece = before * SIZE;
            const float *q = query + at * GROUP * SIZE;
            const float *prompt_keys = prompts[row] + (layer * key_heads + head) * piece;
            const float *prompt_values = prompt_keys + layers * key_heads * piece;
            float sum[GROUP][SIZE] = {0};
            scores(q, prompt_keys, before, width, scaling, weight);
            scores(q, keys + at * columns * SIZE, own, width, scaling, weight + before);
            for (int g = 0; g < GROUP; g++) {
                float *w = weight + g * width, top = w[0], total = 0;
                for (whole c = 1; c < before + own; c++)
                    top = fmaxf(w[c], top);
                for (whole c = 0; c < before + own; c++)
                    total += w[c] = expf(w[c] - top);
                for (whole c = 0; c < before + own; c++)
                    w[c] /= total;
            }
            add(prompt_values, before, width, weight, sum);
            add(values + at * columns * SIZE, own, width, weight + before, sum);
            for (int g = 0; g < GROUP; g++)
                for (int d = 0; d < SIZE; d++)
                    out[(at * GROUP + g) * SIZE + d] = sum[g][d];
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
    function.argtypes = [ctypes.c_void_p] * 8 + [ctypes.c_longlong] * 6 + [ctypes.c_float]
    function.restype = None
    return function


def attend(query: torch.Tensor, memory, layer: int, scaling: float) -> torch.Tensor:
    """Attend from `query` (rows, heads, 1, size) to what `memory` (kv_cache.KVCache) holds of that layer.

    Returns (rows, 1, heads * size).
    """
    rows, heads, _, size = query.shape
    if memory.attention is None:
        return attend_torch(query, *memory.block[:, layer, :rows], memory.length[:rows], scaling)
    _, layers, _, key_heads, columns, _ = memory.block.shape
    query = query.contiguous()
    out = torch.empty(rows, 1, heads * size)
    tensors = (query, *memory.block[:, layer], out, memory.length, memory.prompt, memory.prompt_length, memory.order)
    width = columns + memory.longest_prompt
    addresses = (tensor.data_ptr() for tensor in tensors)
    memory.attention(*addresses, rows, key_heads, columns, layer, layers, width, scaling)
    return out


def attend_torch(query, keys, values, lengths, scaling: float) -> torch.Tensor:
    """The same by two matrix products over the longest row, the query heads of a key head side by side.

    `keys`, `values` (rows, key heads, columns, size), of which the first `lengths` (rows,) columns are filled.
    """
    rows, heads, _, size = query.shape
    width = int(lengths.max())
    query = query.reshape(rows, keys.shape[1], -1, size)
    scores = torch.matmul(query, keys[:, :, :width].transpose(-1, -2)).mul_(scaling)
    beyond = torch.arange(width, device=lengths.device) >= lengths[:, None]
    weights = scores.masked_fill_(beyond[:, None, None], float("-inf")).softmax(-1)
    return torch.matmul(weights, values[:, :, :width]).view(rows, 1, heads * size)
