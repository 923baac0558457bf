// Files that sources have seen become items, duplicates or quarantined files.
#include <sys/eventfd.h>
#include <unistd.h>

#include "frazil/base/files.hpp"
#include "frazil/base/hash.hpp"
#include "frazil/base/log.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {
namespace {

/// "square_3/movie_7.tiff" → "square_3_movie_7".
std::string label_of_path(const std::string& path) {
  auto label = std::filesystem::path(path).replace_extension().string();
  for (auto& c : label)
    if (c == '/') c = '_';
  return label;
}

/// The reason, with the file in front unless it stands there already.
std::string naming(const Sighting& sighting) {
  const auto file = sighting.file.string();
  return sighting.reason.starts_with(file) ? sighting.reason : file + ": " + sighting.reason;
}

}  // namespace

/// A few at a time, so that results are not kept waiting by a folder full of files.
void Engine::Impl::take_sightings() {
  eventfd_t ignored = 0;
  ::eventfd_read(inbox_event_, &ignored);
  std::vector<Sighting> some;
  {
    const std::lock_guard lock(inbox_mutex_);
    while (!inbox_.empty() && some.size() < 32) {
      some.push_back(std::move(inbox_.front()));
      inbox_.pop_front();
    }
    if (!inbox_.empty()) ::eventfd_write(inbox_event_, 1);
  }
  for (const auto& sighting : some) see(sighting);
}

void Engine::Impl::see(const Sighting& sighting) {
  auto& source = sources_[static_cast<std::size_t>(sighting.step)];
  const auto& name = step(sighting.step).name;
  switch (sighting.kind) {
    case Sighting::Kind::scanned:
      if (!std::exchange(source.scanned, true)) graph_->set_horizon(sighting.step, source.horizon);
      break;
    case Sighting::Kind::horizon:
      source.horizon = sighting.order;
      graph_->set_horizon(sighting.step, sighting.order);
      break;
    case Sighting::Kind::growing:
      source.growing[sighting.path] = sighting.reason;
      return;
    case Sighting::Kind::gone:
      source.growing.erase(sighting.path);
      source.waiting.erase(sighting.path);
      return;
    case Sighting::Kind::waiting:
      source.growing[sighting.path] = source.waiting[sighting.path] = sighting.reason;
      store_.add_event("incomplete", name, sighting.path, sighting.reason);
      log::warning("still incomplete: {}", naming(sighting));
      break;
    case Sighting::Kind::excluded:
      source.known[sighting.path] = {sighting.size, sighting.mtime_ns};
      store_.add_file(
          {0, name, sighting.path, sighting.size, sighting.mtime_ns, "excluded", "", "", sighting.reason, 0});
      store_.add_event("excluded", name, sighting.path, sighting.reason);
      log::info("{}", naming(sighting));
      return;
    case Sighting::Kind::broken:
      source.waiting.erase(sighting.path);
      source.growing.erase(sighting.path);
      source.known[sighting.path] = {sighting.size, sighting.mtime_ns};
      source.last_new = Clock::now();
      ++source.broken;
      store_.add_file({0, name, sighting.path, sighting.size, sighting.mtime_ns, "broken", "", "", sighting.reason, 0});
      store_.add_event("broken", name, sighting.path, sighting.reason);
      log::warning("set aside: {}", naming(sighting));
      break;
    case Sighting::Kind::complete:
      source.waiting.erase(sighting.path);
      source.growing.erase(sighting.path);
      source.known[sighting.path] = {sighting.size, sighting.mtime_ns};
      source.last_new = Clock::now();
      if (sighting.companions && !std::exchange(source.companions, true)) store_.put("companions:" + name, "seen");
      import(sighting);
      break;
  }
  graph_->settle();
}

void Engine::Impl::import(const Sighting& sighting) {
  auto& source = sources_[static_cast<std::size_t>(sighting.step)];
  const auto& planned = step(sighting.step);
  const auto subject = hash_of({"file", sighting.path, std::to_string(sighting.size), sighting.hash});
  store::FileRow file{0,      planned.name,  sighting.path, sighting.size,   sighting.mtime_ns,
                      "item", sighting.hash, subject,       sighting.reason, 0};
  const auto [twin, is_new] = source.path_by_hash.try_emplace(sighting.hash, sighting.path);
  if (!is_new && twin->second != sighting.path) {
    file.state = "duplicate";
    file.reason = "has the same content as " + twin->second;
    ++source.duplicates;
    store_.add_file(file);
    store_.add_event("duplicate", planned.name, sighting.path, file.reason);
    log::info("{}: left out: {}", sighting.file.string(), file.reason);
    return;
  }
  if (graph_->find_subject(subject) >= 0) return;  // touched, but the same
  link(sighting);
  store::ItemRow item{0,
                      hash_of({"item", planned.key, subject}),
                      planned.protocol->outputs.at(0).kind,
                      planned.name,
                      planned.protocol->outputs.at(0).name,
                      subject,
                      sighting.order,
                      label_of_path(sighting.path),
                      sighting.record.dump()};
  item.n = store_.add_item(item);
  store_.add_file(file);
  store_.add_event("found", planned.name, sighting.path, sighting.reason);
  if (!sighting.reason.empty()) log::warning("{}", naming(sighting));
  ++source.items;
  arrived_[static_cast<int>(graph_->subject_count())] = sighting.seen;
  graph_->add_source_item(sighting.step, {subject, item.label, item.order, sighting.step},
                          {item.n, Digest::parse(item.id)});
}

/// Makes raw/<step>/<path> point to the file.
void Engine::Impl::link(const Sighting& sighting) {
  const auto path = options_.project / "raw" / step(sighting.step).name / sighting.path;
  make_folders(path.parent_path());
  entry_made(path);
  std::error_code error;
  if (std::filesystem::read_symlink(path, error) == sighting.file) return;
  std::filesystem::remove(path, error);
  if (::symlink(sighting.file.c_str(), path.c_str()) != 0)
    throw Error(ErrorCode::io, "{}: the link to {} cannot be made", path.string(), sighting.file.string());
}

}  // namespace frazil::engine
