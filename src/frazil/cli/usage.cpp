#include "frazil/cli/usage.hpp"

#include <iostream>

namespace frazil::cli {

std::optional<Parsed> parse_or_help(Arguments arguments, const Usage& usage) {
  auto options = usage.options;
  options.push_back(option("help", "boolean", "This text (-h)"));
  auto parsed = parse(arguments, options, usage.repeat);
  if (!parsed.has("help")) return parsed;
  std::cout << usage.text << "\n" << help_text(options, true);
  return {};
}

Error misuse(const Usage& usage, const std::string& what) { return {ErrorCode::bad_input, "{}\n{}", what, usage.text}; }

}  // namespace frazil::cli
