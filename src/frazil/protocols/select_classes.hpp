// Protocol select-classes: keeps the classes that show particles, and lists their particles.
#pragma once

#include "frazil/algo/class2d/select.hpp"
#include "frazil/flow/protocol.hpp"
#include "frazil/model/records.hpp"

namespace frazil::protocols {

struct SelectClasses {
  static constexpr flow::Info info{
      .name = "select-classes",
      .title = "Choice of classes",
      .version = 2,
      .help = "Keep the 2D classes that show particles, by resolution, contrast, centring and size.",
      .state = flow::State::first_version,
      .thin = "Features and limits; no trained ranker yet."};
  using Params = class2d::SelectParams;
  using Input = Classes;
  struct Output {
    Classes classes;
    std::optional<Particles> particles;  ///< empty when no class is kept
    static constexpr auto ports() {
      return std::tuple(flow::port(&Output::classes, "classes"), flow::port(&Output::particles, "particles"));
    }
  };

  Params params;

  [[nodiscard]] Output process(const Input& classes, flow::Context& context) const;
};

}  // namespace frazil::protocols
