#include "frazil/report/report.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>

#include "frazil/base/files.hpp"
#include "frazil/base/words.hpp"
#include "frazil/engine/accountant.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"
#include "frazil/report/alive.hpp"
#include "frazil/report/page.hpp"
#include "frazil/report/pictures.hpp"
#include "frazil/report/sections.hpp"
#include "frazil/report/sets.hpp"

namespace frazil::report {
namespace {

/// Up to so many micrographs all stand in the page with everything. Of more, the newest few do; of the others the page
/// has the numbers, and the rest lies in files beside it.
constexpr std::size_t all_in_page = 150, newest_in_page = 20;
/// Files beside the page that one writing makes at most, newest first: the next one goes on.
constexpr std::size_t details_at_once = 400;

/// What the page shows of one of several CTF estimates.
Json estimate_of(const Json& record) {
  const auto fit = record_from_json<CtfFit>(record);
  return {{"method", fit.method},
          {"defocus_A", ((fit.defocus_u + fit.defocus_v) / 2).value()},
          {"sigma_A", fit.sigma_defocus.value()},
          {"astigmatism_A", (fit.defocus_u - fit.defocus_v).value()},
          {"sigma_astigmatism_A", fit.sigma_astigmatism.value()},
          {"angle_deg", fit.astigmatism_angle.value()},
          {"resolution_A", fit.fit_resolution.value()},
          {"confidence", fit.quality.confidence}};
}

Json picks_of(const std::filesystem::path& star) {
  Json picks = Json::array();
  try {
    const auto file = io::read_star(star);
    const auto& table = file.table_with("rlnCoordinateX");
    for (std::size_t row = 0; row < table.rows(); ++row)
      picks.push_back(
          {std::lround(table.number(row, "rlnCoordinateX")), std::lround(table.number(row, "rlnCoordinateY"))});
  } catch (const Error&) {
    return nullptr;  // an empty table has no such column: nothing to draw
  }
  return picks;
}

Image projection(const Volume& volume, int axis) {
  const int n = volume.nx();
  Image image(n, n, volume.pixel_size);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) image(axis == 0 ? y : x, axis == 2 ? y : z) += volume(x, y, z);
  return image;
}

Image section(const Volume& volume, int axis) {
  const int n = volume.nx();
  Image image(n, n, volume.pixel_size);
  for (int v = 0; v < n; ++v)
    for (int u = 0; u < n; ++u)
      image(u, v) = axis == 0 ? volume(n / 2, u, v) : axis == 1 ? volume(u, n / 2, v) : volume(u, v, n / 2);
  return image;
}

/// Small maps are shown at 192 px or more, so that the browser does not blur 64 px over the page.
std::string enlarged_uri(const Image& image) {
  const int factor = std::max(1, static_cast<int>(std::ceil(192.0 / image.nx())));
  const auto large = factor == 1 ? image.clone() : fourier_resize(image, image.nx() * factor, image.ny() * factor);
  return png_uri(large, static_cast<float>(quantile(large, 0.002)), static_cast<float>(quantile(large, 0.9995)));
}

Json read_json(const std::filesystem::path& path) {
  try {
    return Json::parse(read_text(path), nullptr, false);
  } catch (const Error&) {
    return nullptr;
  }
}

std::string embeddable(const Json& data) {
  auto text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (std::size_t at = 0; (at = text.find("</", at)) != std::string::npos; at += 3) text.replace(at, 2, "<\\/");
  return text;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:%d %B %Y, %H:%M:%S}", local);
}

Json warnings(const engine::Reading& reading) {
  const auto& state = *reading.state;
  Json list = Json::array();
  if (const auto& note = state.live.status.note; !note.empty()) list.push_back("waits: " + with_units(note));
  for (const auto& step : state.live.growing)
    for (const auto& [path, reason] : step)
      if (!reason.empty()) list.push_back(reason);
  return list;
}

/// Four significant digits: as many as plots and tables show.
double rounded(double value) { return std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr); }

bool begins_with(const std::filesystem::path& file, const std::string& head) {
  std::ifstream stream(file, std::ios::binary);
  std::string found(head.size(), '\0');
  return stream.read(found.data(), static_cast<std::streamsize>(found.size())) && found == head;
}

}  // namespace

Writer::AreaSets::AreaSets(const engine::State& state) {
  numbers = {
      {"motion", made_sets(state, Motion::kind), {"total_path_A", "max_step_A", "local_amplitude_A"}},
      {"ctf",
       made_sets(state, CtfFit::kind),
       {"defocus_u_A", "defocus_v_A", "sigma_defocus_A", "fit_resolution_A", "score", "agreement_A"}},
      {"camera", made_sets(state, Detector::kind), {"residual_variance", "dose_per_frame_e_per_A2", "hot", "dead"}},
      {"mask", made_sets(state, MicrographMask::kind), {"masked_fraction"}}};
  for (const auto& kind : {Coordinates::kind, Particles::kind})
    for (const auto& set : made_sets(state, kind))
      if (!set.is_aside()) counts.push_back(set);
  all = all_sets(state);
}

/// Changes when a set has another item of the area.
std::uint64_t Writer::AreaSets::digest(int area) const {
  std::uint64_t sum = 14695981039346656037ULL;
  for (const auto& set : all) sum = (sum ^ static_cast<std::uint64_t>(set.view().items[area])) * 1099511628211ULL;
  return sum;
}

namespace {

std::string by_whom(const store::DecisionRow& row) {
  const bool has_reason = !row.reason.empty() && !row.reason.ends_with(" by hand");
  return fmt::format("by {} on {}{}", row.actor.empty() ? "a person" : row.actor, moment_text(row.time),
                     has_reason ? ": " + row.reason : "");
}

/// What a filter said of an area, or a failed task.
std::string told_by_task(const engine::Reading& reading, const engine::Fate& fate, int area) {
  const auto task = reading.state->step(fate.step).tasks[area];
  if (task <= 0) return {};
  if (fate.standing == engine::Standing::failed) {
    std::string message;
    reading.reader.for_task(task, [&](const store::TaskRow& row) { message = row.message; });
    return message;
  }
  const auto row = reading.reader.decision_of_task(task);
  return row ? (row->reason.empty() ? row->title : row->reason) : std::string();
}

}  // namespace

/// Status of an area, why, and who has restored it.
void Writer::tell_fate(const engine::Reading& reading, int area, Json& row) {
  using engine::Standing;
  const auto fate = engine::fate_of(*reading.state, area);
  constexpr const char* names[] = {"pending", "kept", "set_aside", "held", "failed", "replaced"};
  row["status"] = names[static_cast<int>(fate.standing)];
  row.erase("restored");
  std::string reason;
  if (fate.standing == Standing::kept && fate.restored)
    row["restored"] = by_whom(*fate.person);
  else if (fate.person != nullptr && fate.standing == Standing::set_aside)
    reason = by_whom(*fate.person);
  else if (fate.person != nullptr && fate.standing == Standing::replaced)
    reason = fate.person->reason;
  else if (fate.standing == Standing::in_work && fate.step >= 0)
    reason = "not yet through: " + reading.state->planned(fate.step).title;
  else if (fate.step >= 0)
    reason = told_by_task(reading, fate, area);
  row["reason"] = with_units(reason);
}

/// When an area was taken, as its record says, or when its file came; read once.
Json Writer::time_of(const engine::Reading& reading, int area) {
  const auto& subject = reading.state->subject(area);
  auto& [acquired, is_known] = times_[subject.id];
  if (!is_known) {
    for (const auto& port : reading.state->step(subject.root).ports)
      if (const auto item = port.items[area]; item > 0 && !is_known) {
        const auto record = Json::parse(reading.reader.record(item), nullptr, false);
        if (const auto info = record.find("exposure"); info != record.end() && info->is_object())
          acquired = info->value("acquired", "");
        is_known = true;
      }
  }
  if (!acquired.empty()) return acquired;
  return subject.time > 0 ? Json(subject.time) : Json();
}

Writer::Writer(std::filesystem::path project, std::string version)
    : project_(std::move(project)), version_(std::move(version)) {}

std::string Writer::picture(const std::string& reference, int side, int quality) const {
  if (reference.empty()) return {};
  std::string uri;
  if (reference.ends_with(".png")) {
    uri = jpeg_uri(project_ / reference, side, quality);
  } else {
    try {
      uri = jpeg_uri(io::read_image(project_ / reference), side, quality);
    } catch (const Error&) {  // moved or unreadable since: the numbers are still worth showing
    }
  }
  return uri;
}

/// Thumbnail of one row of the table, and what it shows when opened.
void Writer::add_pictures(Json& m) const {
  if (m.contains("image")) {
    const auto& image = m["image"];
    const auto shown = image.value("thumbnail", "").empty() ? image.value("path", "") : image.value("thumbnail", "");
    m["thumb"] = picture(shown, 84, 70);
    m["width"] = image.value("nx", 1);
    m["height"] = image.value("ny", 1);
    m["picture"] = picture(shown, 512, 80);
    if (m.contains("mask") && m["mask"].value("masked_fraction", 0.0) > 0)
      m["mask_picture"] = picture(m["mask"].value("picture", ""), 512, 80);
    if (m.contains("coordinates")) {
      m["radius"] = std::max(
          3.0, m["coordinates"].value("diameter_A", 0.0) / 2 / std::max(0.01, image.value("pixel_size_A", 1.0)));
      m["picks"] = picks_of(project_ / m["coordinates"].value("coordinates", ""));
    }
  }
  if (m.contains("motion") && !m["motion"].value("plot", "").empty())
    m["motion_plot"] = picture(m["motion"].value("plot", ""), 840, 85);
  if (m.contains("ctf")) {
    m["spectrum"] = picture(m["ctf"].value("power_spectrum", ""), 512, 85);
    if (const auto profile = m["ctf"].value("profile", ""); !profile.empty())
      if (auto json = read_json(project_ / profile); json.is_object()) m["profile"] = std::move(json);
  }
}

/// What is said of a micrograph whose details are not in the page.
Json Writer::brief(const engine::Reading& reading, int area, const AreaSets& sets) {
  const auto& state = *reading.state;
  const auto& subject = state.subject(area);
  Json row = {{"name", subject.name}, {"path", subject.path}, {"time", time_of(reading, area)}};
  for (const auto& [name, list, columns] : sets.numbers)
    for (const auto& set : list) {
      if (!set.has(area)) continue;
      for (const auto* column : columns)
        if (const double value = set.number(area, column); std::isfinite(value)) row[name][column] = rounded(value);
      if (name == "motion") break;  // of several alignments the first one's: others check it
    }
  for (const auto& set : sets.counts)
    if (const double count = set.number(area, "count"); std::isfinite(count)) row["count"] = count;
  return row;
}

/// Everything that the page shows of a micrograph when it is opened.
Json Writer::whole(const engine::Reading& reading, int area, const AreaSets& sets) {
  auto row = brief(reading, area, sets);
  const auto& state = *reading.state;
  const auto attach = [&](std::string_view kind, const char* name) {
    for (const auto& set : made_sets(state, kind))
      if (auto record = set.record(area, reading.reader); record.is_object()) row[name] = std::move(record);
  };
  for (const auto& set : all_sets(state))
    if (set.shape() == flow::Shape::source)
      if (auto record = set.record(area, reading.reader); record.is_object()) {
        if (record.contains("exposure")) row["place"] = record.at("exposure");
      }
  for (const auto& set : made_sets(state, Motion::kind))
    if (auto record = set.record(area, reading.reader); record.is_object()) {
      row["motion"] = std::move(record);
      break;
    }
  for (const auto& set : made_sets(state, CtfFit::kind))
    if (const auto record = set.record(area, reading.reader); record.is_object())
      row["estimates"].push_back(estimate_of(record));
  attach(CtfFit::kind, "ctf");  // of several steps the last one's: a consensus after its estimates
  attach(Detector::kind, "camera");
  attach(MicrographMask::kind, "mask");
  attach(Micrograph::kind, "image");
  attach(Coordinates::kind, "coordinates");
  add_pictures(row);
  row.erase("image");
  row.erase("coordinates");
  return row;
}

/// The same, made anew only when one of its sets has another item.
Json Writer::kept_row(const engine::Reading& reading, int area, const AreaSets& sets) {
  if (rows_.size() > 2 * all_in_page) rows_.clear();
  auto& [digest, row] = rows_[reading.state->subject(area).id];
  if (const auto now = sets.digest(area); row.is_null() || digest != now) {
    row = whole(reading, area, sets);
    digest = now;
  }
  return row;
}

/// Writes what the page does not hold into files beside it, one a micrograph, where it has changed: the newest first.
void Writer::write_details(const engine::Reading& reading, const std::vector<int>& areas, const AreaSets& sets,
                           const std::filesystem::path& folder) {
  make_folders(folder);
  std::size_t written = 0;
  for (auto area = areas.rbegin(); area != areas.rend() && written < details_at_once; ++area) {
    const auto digest = sets.digest(*area);
    const auto& id = reading.state->subject(*area).id;
    auto& known = details_[id];
    if (known == digest) continue;
    known = digest;
    const auto file = folder / (id + ".js");
    const auto head = fmt::format("/*{:016x}*/", digest);
    if (begins_with(file, head)) continue;  // written before this process began
    write_text(file, head + "more(\"" + id + "\"," + embeddable(whole(reading, *area, sets)) + ");\n");
    ++written;
  }
}

Json Writer::micrographs(const engine::Reading& reading, const std::vector<int>& areas,
                         const std::filesystem::path& details) {
  const AreaSets sets(*reading.state);
  const bool all = areas.size() <= all_in_page;
  Json list = Json::array();
  for (std::size_t i = 0; i < areas.size(); ++i) {
    const bool in_page = all || areas.size() - i <= newest_in_page;
    list.push_back(in_page ? kept_row(reading, areas[i], sets) : brief(reading, areas[i], sets));
    tell_fate(reading, areas[i], list.back());
    if (!in_page) list.back()["more"] = reading.state->subject(areas[i]).id;
  }
  if (!all) write_details(reading, areas, sets, details);
  return list;
}

Json Writer::classes(const engine::Reading& reading) const {
  Json found;
  for (const auto& set : made_sets(*reading.state, Classes::kind))
    if (auto record = set.latest(reading.reader); record.is_object())
      if (found.is_null() || record.value("particle_count", 0) >= found.value("particle_count", 0))
        found = std::move(record);
  if (found.is_null()) return nullptr;
  const auto record = record_from_json<Classes>(found);
  Json list = Json::array();
  try {
    const io::StackReader averages(project_ / record.averages);
    for (int c = 0; c < averages.info().nz; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const int count = i < record.counts.size() ? record.counts[i] : 0;
      if (count == 0) continue;
      const auto image = averages.read(c);
      Json entry = {{"index", c + 1},
                    {"count", count},
                    {"image", png_uri(image, static_cast<float>(quantile(image, 0.02)),
                                      static_cast<float>(quantile(image, 0.998)))}};
      entry["resolution_A"] = i < record.resolution.size() ? record.resolution[i].value() : 0;
      if (i < record.selected.size()) entry["selected"] = record.selected[i] != 0;
      if (i < record.reasons.size()) entry["reason"] = record.reasons[i];
      list.push_back(std::move(entry));
    }
  } catch (const Error&) {
    return nullptr;  // the version is being replaced; the next report has it
  }
  std::stable_sort(list.begin(), list.end(), [](const Json& a, const Json& b) {
    const bool ka = a.value("selected", true), kb = b.value("selected", true);
    return ka != kb ? ka : a.at("count").get<int>() > b.at("count").get<int>();
  });
  return {{"version", record.version},
          {"particle_count", record.particle_count},
          {"pixel_size_A", record.pixel_size.value()},
          {"box", record.box},
          {"list", list}};
}

Json Writer::volumes(const engine::Reading& reading) const {
  Json list = Json::array();
  for (const auto& set : made_sets(*reading.state, VolumeMap::kind)) {
    const auto found = set.latest(reading.reader);
    if (!found.is_object()) continue;
    const auto record = record_from_json<VolumeMap>(found);
    try {
      const auto volume = io::read_volume(project_ / record.volume);
      Json entry = {{"name", set.title()},
                    {"particle_count", record.particle_count},
                    {"symmetry", record.symmetry},
                    {"resolution_A", record.resolution.value()},
                    {"side_A", record.pixel_size.value() * record.box}};
      for (int axis = 0; axis < 3; ++axis) {
        entry["projections"].push_back(enlarged_uri(projection(volume, axis)));
        entry["slices"].push_back(enlarged_uri(section(volume, axis)));
      }
      if (!record.fsc.empty())
        if (auto fsc = read_json(project_ / record.fsc); fsc.is_object()) entry["fsc"] = std::move(fsc);
      list.push_back(std::move(entry));
    } catch (const Error&) {
      continue;
    }
  }
  return list;
}

void Writer::write(const engine::Reading& reading, const std::filesystem::path& path) {
  const auto& state = *reading.state;
  const auto areas = areas_of(state);
  const auto details = path.parent_path() / (path.stem().string() + "_details");
  Json data = {{"version", version_},
               {"updated", now_text()},
               {"state", state.live.status.state},
               {"subtitle", subtitle(*state.head)},
               {"title", title(*state.head)},
               {"warnings", warnings(reading)},
               {"settings", settings(*state.head)},
               {"steps", steps(reading)},
               {"pulse", pulse(state)},
               {"counts", engine::to_json(state.live.status.account)},
               {"files", other_files(state)},
               {"details", details.filename().string()}};
  data.update(alive(state));
  data["micrographs"] = micrographs(reading, areas, details);
  data["classes"] = classes(reading);
  data["volumes"] = volumes(reading);
  data["limits"] = limits(state, areas);
  data["funnels"] = {item_funnel(state), amount_funnel(state)};
  data["summary"] = summary(state, data["micrographs"], data["classes"], data["volumes"]);

  std::string html(page_template());
  const std::string mark = "/*DATA*/";
  const auto at = html.find(mark);
  expect(at != std::string::npos, "the page has a place for its data");
  html.replace(at, mark.size(), embeddable(data));
  write_text(path, html);
}

}  // namespace frazil::report
