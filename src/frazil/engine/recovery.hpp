// Results outlive their database: what is told of a project whose database is lost, older or damaged, and how it is
// made again from the result folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "frazil/store/project.hpp"

namespace frazil::engine {

/// Looks at a project before its database is opened. One that is missing, empty or damaged beside results is refused
/// with the choices; with `rebuild` what is there of it moves aside (project.frazil.damaged…), and a new one may be
/// made. `rebuild` also reads the whole of it, and moves one of another project aside.
/// @throws Error(bad_input)
void expect_database(const std::filesystem::path& project, bool rebuild);

/// What tells a project from all others, in its database and in its result folders: made where there is none.
[[nodiscard]] std::string identity_of(store::Project& store);

/// Refuses to work where none of the results is that the database knows, as when their disk is not mounted.
/// @throws Error(bad_input)
void expect_results(const std::filesystem::path& project, store::Project& store);

/// Result folders that no stored task owns: the normal trace of a kill. @throws Error(bad_input) with the choices for a
/// database that turns out to be damaged
[[nodiscard]] std::vector<std::filesystem::path> find_orphans(const std::filesystem::path& project,
                                                              store::Project& store);

/// Refuses a database older than the last engine that worked here, as engine.lock and the folders that no task owns
/// tell, and one of another project.
/// @param identity    of the project that the database is of
/// @param last_epoch  the last one that the database knows
/// @throws Error(bad_input) with the choices
void expect_latest(const std::filesystem::path& project, const std::vector<std::filesystem::path>& orphans,
                   const std::string& identity, std::int64_t last_epoch);

/// Moves folders from steps/ to orphans/, where nothing looks at them and nothing removes them.
void set_aside_orphans(const std::filesystem::path& project, const std::vector<std::filesystem::path>& orphans);

/// What was found again.
struct Rebuilt {
  int tasks = 0, items = 0, lists = 0;
  int untold = 0;  ///< folders without a readable marker
};
/// Takes what result folders say of themselves into the store: tasks and items under their keys and ids, so that they
/// are reused, and the lists that folds were made from. Raises the epoch to the latest seen.
Rebuilt rebuild(const std::filesystem::path& project, store::Project& store);

}  // namespace frazil::engine
