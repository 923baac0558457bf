// The structural test: never an Error, and "complete" means that the readers accept the structure.
#include "frazil/io/completeness.hpp"
#include "harness.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto source = frazil::io::ByteSource::memory("fuzzed", std::as_bytes(std::span(data, size)));
  const auto found = frazil::io::check_complete(source);
  const bool complete = found.state == frazil::io::FileState::complete;
  if (!complete && found.reason.empty()) std::abort();  // one that is complete in spite of its header has a reason too
  if (!found.reason.empty() && found.reason.find("fuzzed") == std::string::npos) std::abort();
  return 0;
}
