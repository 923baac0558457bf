// A project of many movies with records and small pictures but no movies: to rehearse, to measure, to build pages on.
#pragma once

#include <string>

#include "frazil/cli/command.hpp"
#include "frazil/protocols/rehearsal.hpp"

namespace frazil::cli {

struct RehearsedSession {
  std::string workflow = "picking";  ///< template, by name or file
  int count = 20000;                 ///< movies there at once
  int live = 0;                      ///< movies that come after those, while the engine works
  double per_minute = 25;            ///< at this rate
  protocols::RehearsalParams results;
};

/// Runs the template on `count` movies that are empty files in FOLDER.movies, all results made up
/// (protocols/rehearsal.hpp), into the project FOLDER; then on `live` more as they come. A project that is there goes
/// on. @return exit code as `frazil run`
int rehearse(const RehearsedSession& session, const std::string& folder, bool json);

/// Worker of such a project: `worker --rehearse PARTICLES --pictures 0|1 …`.
int rehearsal_worker(Arguments arguments);

}  // namespace frazil::cli
