// What all harnesses share: bytes come in, frazil::Error may come out, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "frazil/base/error.hpp"
#include "frazil/io/byte_source.hpp"

namespace frazil::fuzz {

/// Runs `parse(source)`; an Error must name the file and be no `bug`.
template <class Parse>
int run(const std::uint8_t* data, std::size_t size, Parse parse) {
  try {
    parse(io::ByteSource::memory("fuzzed", std::as_bytes(std::span(data, size))));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::bug || std::strstr(error.what(), "fuzzed") == nullptr) std::abort();
  }
  return 0;
}

}  // namespace frazil::fuzz
