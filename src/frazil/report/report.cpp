#include "frazil/report/report.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <tuple>

#include "frazil/base/files.hpp"
#include "frazil/base/statistics.hpp"
#include "frazil/engine/settings.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"
#include "frazil/report/alive.hpp"
#include "frazil/report/page.hpp"
#include "frazil/report/pictures.hpp"
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

std::string amount(double value) {
  auto digits = fmt::format("{:.0f}", value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

Json summary(const Json& micrographs, const Json& classes, const Json& volumes) {
  Json tiles = Json::array();
  const auto add = [&](std::string value, std::string label) {
    tiles.push_back({{"value", std::move(value)}, {"label", std::move(label)}});
  };
  int kept = 0, aside = 0, failed = 0;
  double particles = 0;
  std::vector<double> drift, defocus, rings;
  for (const auto& m : micrographs) {
    kept += m.at("status") == "kept";
    aside += m.at("status") == "set_aside";
    failed += m.at("status") == "failed";
    if (m.contains("count")) particles += m.at("count").get<double>();
    if (m.contains("motion")) drift.push_back(m.at("motion").value("total_path_A", 0.0));
    if (m.contains("ctf")) {
      defocus.push_back((m.at("ctf").value("defocus_u_A", 0.0) + m.at("ctf").value("defocus_v_A", 0.0)) / 2e4);
      rings.push_back(m.at("ctf").value("fit_resolution_A", 0.0));
    }
  }
  if (!micrographs.empty()) {
    add(amount(static_cast<double>(micrographs.size())), "micrographs seen");
    add(amount(kept), "kept");
    add(amount(aside + failed), failed > 0 ? fmt::format("set aside, {} of them failed", failed) : "set aside");
  }
  if (!drift.empty()) add(fmt::format("{:.1f} Å", median(drift)), "median drift");
  if (!defocus.empty()) add(fmt::format("{:.2f} µm", median(defocus)), "median defocus");
  if (!rings.empty()) add(fmt::format("{:.1f} Å", median(rings)), "Thon rings reach (median)");
  if (particles > 0)
    add(amount(particles), "particles");
  else if (!classes.is_null())
    add(amount(classes.at("particle_count").get<double>()), "particles");
  if (!classes.is_null()) add(amount(static_cast<double>(classes.at("list").size())), "2D classes");
  for (const auto& volume : volumes)
    if (volume.value("resolution_A", 0.0) > 0)
      add(fmt::format("{:.1f} Å", volume.at("resolution_A").get<double>()), "initial volume");
  return tiles;
}

std::string title(const engine::Head& head) {
  if (const auto name = head.plan.values.value("project_name", Json()); name.is_string() && name != "")
    return name.get<std::string>();
  const auto folder = head.folder.filename().string();
  return folder.empty() ? "frazil project" : folder;
}

std::string subtitle(const engine::Head& head) {
  std::string text = head.plan.title;
  for (const auto* key : {"sample", "user"})
    if (const auto value = head.plan.values.value(key, Json()); value.is_string() && value != "")
      text += (text.empty() ? "" : " · ") + value.get<std::string>();
  return text;
}

Json warnings(const engine::Reading& reading) {
  const auto& state = *reading.state;
  Json list = Json::array();
  for (const auto& step : state.live.growing)
    for (const auto& [path, reason] : step)
      if (!reason.empty()) list.push_back(reason);
  return list;
}

/// The values in force, with who has changed them.
Json parameters(const engine::Head& head) {
  Json list = Json::array();
  for (const auto& row : engine::settings_of(head)) {
    if (row.at("value").is_null() || row.at("value") == "") continue;
    list.push_back({{"name", row.at("name")},
                    {"title", row.at("title")},
                    {"value", flow::value_text(row.at("value"))},
                    {"unit", row.at("value").is_number() ? row.at("unit") : Json("")},
                    {"from", row.at("time").is_null() ? Json() : Json(flow::value_text(row.at("from")))},
                    {"actor", row.at("actor")},
                    {"time", row.at("time")}});
  }
  return list;
}

/// Seconds of the last tasks of a step, the median of a hundred; null when none has ended.
Json usual_seconds(const engine::Reading& reading, int index) {
  const auto& state = *reading.state;
  const auto& step = state.step(index);
  std::vector<double> seconds;
  for (auto subject = state.by_order->rbegin(); subject != state.by_order->rend() && seconds.size() < 100; ++subject)
    if (const auto task = step.tasks[*subject]; task > 0)
      reading.reader.for_task(task, [&](const store::TaskRow& row) { seconds.push_back(row.seconds); });
  for (auto made = step.made.rbegin(); made != step.made.rend() && seconds.size() < 100; ++made)
    reading.reader.for_task(made->task, [&](const store::TaskRow& row) { seconds.push_back(row.seconds); });
  return seconds.empty() ? Json() : Json(median(std::move(seconds)));
}

Json steps(const engine::Reading& reading) {
  Json list = Json::array();
  int index = 0;
  for (const auto& step : reading.state->live.status.steps) {
    list.push_back({{"name", step.name},
                    {"title", step.title},
                    {"note", step.note},
                    {"done", step.done},
                    {"running", step.running},
                    {"waiting", step.waiting + step.queued},
                    {"failed", step.failed},
                    {"seconds", usual_seconds(reading, index++)}});
  }
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

Writer::AreaSets::AreaSets(const engine::State& state, const std::vector<int>& areas) {
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
  // Kept: arrived in the last set that looks at single areas.
  const auto holds_areas = [&](const Set& set) {
    return std::any_of(areas.begin(), areas.end(), [&](int area) { return set.has(area); });
  };
  for (const auto& set : all_sets(state)) {
    all.push_back(set);
    if (set.shape() != flow::Shape::source && !set.is_aside() && set.view().count > 0 && holds_areas(set)) last = set;
  }
}

/// Changes when a set has another item of the area.
std::uint64_t Writer::AreaSets::digest(int area) const {
  std::uint64_t sum = 14695981039346656037ULL;
  for (const auto& set : all) sum = (sum ^ static_cast<std::uint64_t>(set.view().items[area])) * 1099511628211ULL;
  return sum;
}

/// Status and reason of an area.
std::pair<std::string, std::string> Writer::fate(const engine::Reading& reading, int area,
                                                 const std::optional<Set>& last) {
  const auto& state = *reading.state;
  std::pair<std::string, std::string> found = {last && last->has(area) ? "kept" : "pending", ""};
  for (const auto& set : all_sets(state))
    if (set.is_aside() && set.shape() == flow::Shape::filter && set.has(area)) {
      found = {"set_aside", ""};
      if (const auto row = reading.reader.decision_of_task(state.step(set.step).tasks[area]))
        found.second = row->reason;
      if (const auto person = state.people->find({set.step, area}); person != state.people->end())
        found.second = person->second.reason;
    }
  for (const auto& step : state.steps)
    if (step->cells[area] == engine::CellState::failed) {
      found.first = "failed";
      reading.reader.for_task(step->tasks[area], [&](const store::TaskRow& row) { found.second = row.message; });
    }
  return found;
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
  Json row = {{"name", state.subject(area).label}};
  std::tie(row["status"], row["reason"]) = fate(reading, area, sets.last);
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
        row["name"] = record.value("name", row["name"].get<std::string>());
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
  std::tie(row["status"], row["reason"]) = fate(reading, area, sets.last);
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
  const AreaSets sets(*reading.state, areas);
  const bool all = areas.size() <= all_in_page;
  Json list = Json::array();
  for (std::size_t i = 0; i < areas.size(); ++i) {
    const bool in_page = all || i == 0 || areas.size() - i <= newest_in_page;
    list.push_back(in_page ? kept_row(reading, areas[i], sets) : brief(reading, areas[i], sets));
    if (!in_page) list.back()["more"] = reading.state->subject(areas[i]).id;
  }
  if (!all) write_details(reading, areas, sets, details);
  for (int i = 0; i < reading.state->file_count; ++i)
    if (const auto& file = *reading.state->files[i]; file.state == "broken")  // never became an item
      list.push_back({{"name", std::filesystem::path(file.path).filename().string()},
                      {"status", "failed"},
                      {"reason", file.reason}});
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
               {"parameters", parameters(*state.head)},
               {"steps", steps(reading)},
               {"details", details.filename().string()}};
  data.update(alive(state));
  data["micrographs"] = micrographs(reading, areas, details);
  data["classes"] = classes(reading);
  data["volumes"] = volumes(reading);
  data["limits"] = limits(state, areas);
  data["funnels"] = {subject_funnel(reading, areas), particle_funnel(reading)};
  data["summary"] = summary(data["micrographs"], data["classes"], data["volumes"]);

  std::string html(page_template());
  const std::string mark = "/*DATA*/";
  const auto at = html.find(mark);
  expect(at != std::string::npos, "the page has a place for its data");
  html.replace(at, mark.size(), embeddable(data));
  write_text(path, html);
}

}  // namespace frazil::report
