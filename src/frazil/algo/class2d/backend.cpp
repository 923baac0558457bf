#include "frazil/algo/class2d/backend.hpp"

namespace frazil::class2d {
namespace {

class Cpu final : public Backend {
 public:
  std::unique_ptr<const Matcher> matcher(const Search& search) const override {
    return std::make_unique<Matcher>(search);
  }
};

class Reference final : public Backend {
 public:
  std::unique_ptr<const Matcher> matcher(const Search& search) const override { return make_reference_matcher(search); }
};

}  // namespace

const Backend& cpu_backend() {
  static const Cpu backend;
  return backend;
}

const Backend& reference_backend() {
  static const Reference backend;
  return backend;
}

}  // namespace frazil::class2d
