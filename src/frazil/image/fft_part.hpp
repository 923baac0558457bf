// Transforms of which only a part is wanted.
#pragma once

#include "frazil/image/image.hpp"

namespace frazil {

/// As fft_into, but only the first `columns` columns of `out` are right: the rest holds what it likes.
void fft_columns_into(ImageView image, Spectrum& out, int columns, int threads = 1);

}  // namespace frazil
