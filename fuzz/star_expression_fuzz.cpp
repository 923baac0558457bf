// Conditions on STAR columns.
#include "frazil/base/error.hpp"
#include "frazil/io/star_expression.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto table = [] {
    frazil::io::StarTable t("particles", {"rlnA", "rlnB"});
    const auto row = t.add_row();
    t.set(row, "rlnA", 1.5);
    t.set(row, "rlnB", 2);
    return t;
  }();
  try {
    (void)frazil::io::StarExpression(std::string_view(reinterpret_cast<const char*>(data), size), table).value(0);
  } catch (const frazil::Error&) {  // refused: as it should be
  }
  return 0;
}
