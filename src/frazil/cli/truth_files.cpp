#include "frazil/cli/truth_files.hpp"

#include "frazil/io/image_file.hpp"
#include "frazil/io/star_optics.hpp"

namespace frazil::cli {
namespace {

constexpr int field_nodes = 9;

Json pose_to_json(const sim::Pose& pose) {
  return {{"rot_deg", pose.rot.value()}, {"tilt_deg", pose.tilt.value()}, {"psi_deg", pose.psi.value()}};
}

/// The whole displacement that each frame shows, mean over its exposure, as the shift that undoes it, in the layout of
/// align-movie's `motion_field`.
Json field_to_json(const sim::Scene& scene, const sim::Motion& motion) {
  std::vector<double> xs, ys;
  for (int i = 0; i < field_nodes; ++i) {
    xs.push_back(static_cast<double>(scene.nx - 1) * i / (field_nodes - 1));
    ys.push_back(static_cast<double>(scene.ny - 1) * i / (field_nodes - 1));
  }
  Json frames = Json::array();
  for (int t = 0; t < scene.frames; ++t) {
    const auto instants = sim::drawn_instants(scene, motion, t);
    Json rows = Json::array();
    for (const double y : ys) {
      Json row = Json::array();
      for (const double x : xs) {
        const auto d = sim::mean_displacement(instants, [&](double dose) { return motion.displacement(x, y, dose); });
        row.push_back({-d[0], -d[1]});
      }
      rows.push_back(std::move(row));
    }
    frames.push_back(std::move(rows));
  }
  return {{"x_px", xs}, {"y_px", ys}, {"shift_px", std::move(frames)}};
}

void add_ctf(Json& json, const Ctf& ctf) {
  json["defocus_u_A"] = ctf.defocus_u.value();
  json["defocus_v_A"] = ctf.defocus_v.value();
  json["astigmatism_angle_deg"] = ctf.astigmatism_angle.value();
  json["phase_shift_deg"] = ctf.phase_shift.value();
}

void set_ctf(io::StarTable& table, std::size_t row, const Ctf& ctf) {
  table.set(row, "rlnDefocusU", ctf.defocus_u.value());
  table.set(row, "rlnDefocusV", ctf.defocus_v.value());
  table.set(row, "rlnDefocusAngle", ctf.astigmatism_angle.value());
  table.set(row, "rlnPhaseShift", ctf.phase_shift.value());
}

void set_pose(io::StarTable& table, std::size_t row, const sim::Pose& pose) {
  table.set(row, "rlnAngleRot", pose.rot.value());
  table.set(row, "rlnAngleTilt", pose.tilt.value());
  table.set(row, "rlnAnglePsi", pose.psi.value());
}

io::OpticsGroup optics_of(const sim::Scene& scene) {
  io::OpticsGroup group;
  group.optics = scene.optics();
  return group;
}

}  // namespace

Json area_to_json(const sim::Scene& scene, const sim::AreaTruth& area, const std::string& file) {
  Json json{{"name", area.name},
            {"file", file},
            {"crystalline_ice", area.crystalline_ice},
            {"carbon_fraction", area.carbon_fraction},
            {"tilt_deg", area.tilt.value()},
            {"tilt_axis_deg", area.tilt_axis.value()}};
  add_ctf(json, area.ctf);
  if (area.hole[2] > 0) json["hole_px"] = area.hole;
  if (scene.kind == sim::SceneKind::movies) {
    json["shifts_px"] = area.shifts_px;
    json["motion_field"] = field_to_json(scene, area.motion);
  }
  json["particles"] = Json::array();
  for (const auto& p : area.particles) {
    auto entry = pose_to_json(p.pose);
    entry["x_px"] = p.x_px, entry["y_px"] = p.y_px, entry["specimen"] = p.specimen;
    json["particles"].push_back(std::move(entry));
  }
  json["junk"] = Json::array();
  for (const auto& j : area.junk)
    json["junk"].push_back(
        {{"content", sim::to_string(j.content)}, {"x_px", j.x_px}, {"y_px", j.y_px}, {"radius_px", j.radius_px}});
  return json;
}

Json scene_to_json(const sim::Scene& scene, const std::vector<sim::Specimen>& specimens) {
  Json list = Json::array();
  for (const auto& s : specimens)
    list.push_back({{"name", s.name},
                    {"map", "truth/" + s.name + ".mrc"},
                    {"diameter_A", s.diameter().value()},
                    {"mass_kDa", s.mass_kDa}});
  auto parameters = params_to_json(scene);
  parameters.erase("threads");
  return {{"scene", std::move(parameters)},
          {"kind", name_of(scene.kind)},
          {"pixel_size_A", scene.pixel_size.value()},
          {"nx", scene.nx},
          {"ny", scene.ny},
          {"frames", scene.frames},
          {"dose_per_frame_e_per_A2", scene.dose_per_frame.value()},
          {"specimens", std::move(list)}};
}

Json stack_to_json(const sim::ParticleStack& stack) {
  Json list = Json::array();
  for (const auto& t : stack.truth) {
    auto entry = pose_to_json(t.pose);
    add_ctf(entry, t.ctf);
    entry["content"] = sim::to_string(t.content);
    entry["specimen"] = t.specimen;
    entry["origin_x_A"] = t.origin_x.value(), entry["origin_y_A"] = t.origin_y.value();
    list.push_back(std::move(entry));
  }
  return list;
}

io::StarFile areas_to_star(const sim::Scene& scene, const std::vector<sim::AreaTruth>& areas,
                           const std::vector<std::string>& files) {
  auto group = optics_of(scene);
  group.micrograph_pixel_size = group.original_pixel_size = scene.pixel_size;
  io::StarFile file;
  file.add(io::optics_table(std::span(&group, 1)));
  io::StarTable micrographs("micrographs", {"rlnMicrographName", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle",
                                            "rlnPhaseShift", "rlnOpticsGroup"});
  io::StarTable particles("particles", {"rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnAngleRot",
                                        "rlnAngleTilt", "rlnAnglePsi", "rlnClassNumber", "rlnDefocusU", "rlnDefocusV",
                                        "rlnDefocusAngle", "rlnPhaseShift", "rlnOpticsGroup"});
  for (std::size_t i = 0; i < areas.size(); ++i) {
    const auto row = micrographs.add_row();
    micrographs.set(row, "rlnMicrographName", files[i]);
    micrographs.set(row, "rlnOpticsGroup", 1);
    set_ctf(micrographs, row, areas[i].ctf);
    for (const auto& p : areas[i].particles) {
      const auto r = particles.add_row();
      particles.set(r, "rlnMicrographName", files[i]);
      particles.set(r, "rlnCoordinateX", p.x_px);
      particles.set(r, "rlnCoordinateY", p.y_px);
      particles.set(r, "rlnClassNumber", p.specimen + 1);
      particles.set(r, "rlnOpticsGroup", 1);
      set_pose(particles, r, p.pose);
      set_ctf(particles, r, areas[i].ctf);
    }
  }
  file.add(std::move(micrographs));
  file.add(std::move(particles));
  return file;
}

io::StarFile stack_to_star(const sim::Scene& scene, const sim::ParticleStack& stack, const std::string& stack_name,
                           bool truth) {
  auto group = optics_of(scene);
  group.image_pixel_size = scene.pixel_size;
  group.image_size = stack.box;
  io::StarFile file;
  file.add(io::optics_table(std::span(&group, 1)));
  std::vector<std::string> labels{"rlnImageName",    "rlnMicrographName", "rlnDefocusU",   "rlnDefocusV",
                                  "rlnDefocusAngle", "rlnPhaseShift",     "rlnOpticsGroup"};
  if (truth)
    labels.insert(labels.end(), {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst",
                                 "rlnClassNumber"});
  io::StarTable table("particles", labels);
  for (std::size_t i = 0; i < stack.truth.size(); ++i) {
    const auto& t = stack.truth[i];
    const auto row = table.add_row();
    table.set(row, "rlnImageName", io::join_reference(static_cast<int>(i), stack_name));
    table.set(row, "rlnMicrographName", stack_name);
    table.set(row, "rlnOpticsGroup", 1);
    set_ctf(table, row, t.ctf);
    if (!truth) continue;
    set_pose(table, row, t.pose);
    table.set(row, "rlnOriginXAngst", t.origin_x.value());
    table.set(row, "rlnOriginYAngst", t.origin_y.value());
    table.set(row, "rlnClassNumber", t.specimen + 1);
  }
  file.add(std::move(table));
  return file;
}

}  // namespace frazil::cli
