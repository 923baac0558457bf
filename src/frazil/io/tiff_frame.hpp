// Decoding one TIFF frame, its strips in parallel.
#pragma once

#include "frazil/image/image.hpp"
#include "frazil/io/tiff_index.hpp"

namespace frazil::io {

/// Decodes frame `index`; the file's first row becomes the last (conventions.md, "Images in memory and on disk").
/// The result is the same for any number of threads.
/// @throws Error(corrupt) naming frame and strip when a strip does not decode to its rows
void read_tiff_frame(const ByteSource& source, const TiffIndex& index, int frame, ImageSpan out, int threads);

}  // namespace frazil::io
