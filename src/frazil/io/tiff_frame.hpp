// Decoding one TIFF frame, its strips in parallel.
#pragma once

#include "frazil/image/counts.hpp"
#include "frazil/io/tiff_index.hpp"

namespace frazil::io {

/// Decodes frame `index`; the file's first row becomes the last (conventions.md, "Images in memory and on disk").
/// The result is the same for any number of threads.
/// @throws Error(corrupt) naming frame and strip when a strip does not decode to its rows
void read_tiff_frame(const ByteSource& source, const TiffIndex& index, int frame, ImageSpan out, int threads);
/// The same as counts of count_type_of(index.type); `out` has the size of the frame.
void read_tiff_frame(const ByteSource& source, const TiffIndex& index, int frame, Counts& out, int threads);

}  // namespace frazil::io
