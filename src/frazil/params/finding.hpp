// What a watcher finds wrong with the acquisition or the project. While it is found, an alarm stands.
#pragma once

#include <array>
#include <string>

#include "frazil/params/fields.hpp"

namespace frazil {

/// What an alarm is about, in the words of the microscope.
enum class AlarmKind {
  gain,
  dose,
  pixel_size,
  voltage,
  cs,
  defocus,
  tilt,
  frames,
  files,
  metadata,
  filter,
  ice,
  ctf,
  disk,
  worker,
  engine,
  arrival,
  copy,
  region,
  yield,
  classes,
  views,
  drift,
  astigmatism,
  phase,
  memory,
  task
};

constexpr auto names_of(AlarmKind) {
  return std::array{"gain",     "dose",   "pixel_size", "voltage", "cs",    "defocus",     "tilt",   "frames",  "files",
                    "metadata", "filter", "ice",        "ctf",     "disk",  "worker",      "engine", "arrival", "copy",
                    "region",   "yield",  "classes",    "views",   "drift", "astigmatism", "phase",  "memory",  "task"};
}

/// One thing that is wrong now. Whoever watches says in every version all that is wrong at that time: what is not said
/// again is over. Two findings of a watcher with the same kind and `about` are the same alarm, however their texts
/// differ. Records of folds carry them in a field `findings`, protocols' `notes` and the engine's own watchers in the
/// same form.
struct Finding {
  AlarmKind kind = AlarmKind::task;
  std::string about = {};     ///< tells two of a kind apart (a grid square, a step); mostly empty
  std::string text = {};      ///< what is wrong, one sentence without a full stop, numbers with units and errors
  std::string seen = {};      ///< "2.19 ± 0.02 e-/A^2 per frame"; empty where there is no number
  std::string expected = {};  ///< "25 e-/A^2 per frame (typed at the start)"
  std::string advice = {};    ///< what to do at the microscope or here, one sentence
  double sure = 1;            ///< probability that it is so and no chance, 0 to 1

  static constexpr auto fields() {
    using P = Finding;
    return std::tuple(field(&P::kind, "kind", "What it is about"), field(&P::about, "about", "Which of them"),
                      field(&P::text, "text", "What is wrong"), field(&P::seen, "seen", "What was seen"),
                      field(&P::expected, "expected", "What was expected, and who says so"),
                      field(&P::advice, "advice", "What to do"),
                      field(&P::sure, "sure", "Probability that it is no chance").range(0, 1));
  }
};

}  // namespace frazil
