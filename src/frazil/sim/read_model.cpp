// The only file that sees gemmi: atomic models become specimens.
#include <gemmi/c4322.hpp>
#include <gemmi/gz.hpp>
#include <gemmi/mmread.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numbers>

#include "frazil/sim/specimen.hpp"

namespace frazil::sim {
namespace {

using std::numbers::pi;
constexpr double water_density = 0.0311 * 3.04;  // molecules per Å³ times the scattering length of H₂O in Å

/// Mean number of hydrogens on an atom of a protein, and the volume of the atom without them (Fraser et al. 1978, table
/// 1).
struct Kind {
  gemmi::El element;
  double hydrogens, volume_A3;
};
constexpr std::array<Kind, 6> kinds{{{gemmi::El::H, 0, 5.15},
                                     {gemmi::El::C, 1.2, 16.44},
                                     {gemmi::El::N, 1.2, 2.49},
                                     {gemmi::El::O, 0.2, 9.13},
                                     {gemmi::El::S, 0.2, 19.86},
                                     {gemmi::El::P, 0, 5.73}}};

void append(std::vector<GaussianTerm>& terms, gemmi::El element, double count, double extra_b_A2) {
  const auto& coef = gemmi::C4322<double>::get(element);
  for (int i = 0; i < 5; ++i) terms.push_back({count * coef.a(i), coef.b(i) + extra_b_A2});
}

/// Scattering of one kind of atom with its hydrogens (1.05 Å away on average), less the water it displaces.
std::vector<GaussianTerm> contrast_of(const Kind& kind, bool add_hydrogens) {
  std::vector<GaussianTerm> terms;
  append(terms, kind.element, 1, 0);
  const double hydrogens = add_hydrogens ? kind.hydrogens : 0;
  if (hydrogens > 0) append(terms, gemmi::El::H, hydrogens, 8 * pi * pi * 1.05 * 1.05 / 3);
  const double volume_A3 = kind.volume_A3 + hydrogens * 5.15;
  terms.push_back({-water_density * volume_A3, 4 * pi * std::pow(volume_A3, 2.0 / 3)});
  return terms;
}

double evaluate(const std::vector<GaussianTerm>& terms, double k_per_A) {
  double sum = 0;
  for (const auto& t : terms) sum += t.amplitude * std::exp(-t.b_A2 * k_per_A * k_per_A / 4);
  return sum;
}

/// Weights (a, b) with a f₀ + b f₁ nearest to f between 0 and 0.5 1/Å.
std::array<double, 2> expand(const std::vector<GaussianTerm>& f,
                             const std::array<std::vector<GaussianTerm>, 2>& basis) {
  double s00 = 0, s01 = 0, s11 = 0, t0 = 0, t1 = 0;
  for (int i = 0; i <= 100; ++i) {
    const double k = 0.005 * i, f0 = evaluate(basis[0], k), f1 = evaluate(basis[1], k), y = evaluate(f, k);
    s00 += f0 * f0, s01 += f0 * f1, s11 += f1 * f1, t0 += f0 * y, t1 += f1 * y;
  }
  const double determinant = s00 * s11 - s01 * s01;
  return {(t0 * s11 - t1 * s01) / determinant, (t1 * s00 - t0 * s01) / determinant};
}

const Kind& kind_of(gemmi::El element) {
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return k.element == element; });
  return found == kinds.end() ? kinds[4] : *found;
}

gemmi::Structure read_structure(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) throw Error(ErrorCode::not_found, "{}: no such atomic model", path.string());
  try {
    return gemmi::read_structure(gemmi::MaybeGzipped(path.string()));
  } catch (const std::exception& problem) {
    throw Error(ErrorCode::corrupt, "{}: not an atomic model that can be read: {}", path.string(), problem.what());
  }
}

void centre(Specimen& specimen, const std::vector<double>& masses) {
  double m = 0, x = 0, y = 0, z = 0;
  for (std::size_t i = 0; i < masses.size(); ++i) {
    const auto& s = specimen.scatterers[i];
    m += masses[i], x += masses[i] * s.x, y += masses[i] * s.y, z += masses[i] * s.z;
  }
  specimen.mass_kDa = m / 1000;
  for (auto& s : specimen.scatterers) {
    s.x -= x / m, s.y -= y / m, s.z -= z / m;
    specimen.radius_A = std::max(specimen.radius_A, std::sqrt(s.x * s.x + s.y * s.y + s.z * s.z));
  }
}

}  // namespace

Specimen read_model(const std::filesystem::path& path) {
  auto structure = read_structure(path);
  if (structure.models.empty()) throw Error(ErrorCode::corrupt, "{}: holds no model", path.string());
  bool has_hydrogens = false;
  std::vector<std::pair<const gemmi::Atom*, double>> atoms;
  for (const auto& chain : structure.models[0].chains)
    for (const auto& residue : chain.residues) {
      if (residue.is_water()) continue;
      for (const auto& atom : residue.atoms) {
        has_hydrogens = has_hydrogens || atom.is_hydrogen();
        atoms.emplace_back(&atom, atom.occ);
      }
    }
  if (atoms.empty()) throw Error(ErrorCode::corrupt, "{}: holds no atoms", path.string());
  Specimen specimen;
  specimen.name = path.filename().string().substr(0, path.filename().string().find('.'));
  specimen.form = {contrast_of(kind_of(gemmi::El::C), !has_hydrogens),
                   contrast_of(kind_of(gemmi::El::O), !has_hydrogens)};
  std::array<std::array<double, 2>, kinds.size()> weights{};
  for (std::size_t i = 0; i < kinds.size(); ++i)
    weights[i] = expand(contrast_of(kinds[i], !has_hydrogens), specimen.form);
  std::vector<double> masses;
  for (const auto& [atom, occupancy] : atoms) {
    const auto& kind = kind_of(atom->element.elem);
    const auto& w = weights[static_cast<std::size_t>(&kind - kinds.data())];
    specimen.scatterers.push_back({atom->pos.x, atom->pos.y, atom->pos.z, {w[0] * occupancy, w[1] * occupancy}});
    masses.push_back(occupancy * (atom->element.weight() + (has_hydrogens ? 0 : kind.hydrogens * 1.008)));
  }
  centre(specimen, masses);
  return specimen;
}

Specimen shipped_model(const std::string& name) {
  std::vector<std::filesystem::path> folders;
  if (const char* data = std::getenv("FRAZIL_DATA")) folders.emplace_back(std::filesystem::path(data) / "models");
  folders.emplace_back(FRAZIL_SOURCE_DATA "/models");
  folders.emplace_back("data/models");
  for (const auto& folder : folders)
    for (const char* ending : {".pdb.gz", ".cif.gz", ".pdb", ".cif"})
      if (const auto path = folder / (name + ending); std::filesystem::exists(path)) return read_model(path);
  throw Error(ErrorCode::not_found, "no atomic model {} in {}; set FRAZIL_DATA to the folder that holds models/", name,
              folders.front().string());
}

Specimen from_map(const Volume& map, double threshold, const std::string& name) {
  Specimen specimen;
  specimen.name = name;
  const double voxel_A = map.pixel_size.value(), voxel_A3 = voxel_A * voxel_A * voxel_A;
  double sum = 0;
  for (int z = 0; z < map.nz(); ++z)
    for (int y = 0; y < map.ny(); ++y)
      for (int x = 0; x < map.nx(); ++x) {
        const double value = map(x, y, z);
        if (!(value > threshold)) continue;
        const double dx = (x - map.nx() / 2) * voxel_A, dy = (y - map.ny() / 2) * voxel_A,
                     dz = (z - map.nz() / 2) * voxel_A;
        specimen.scatterers.push_back({dx, dy, dz, {value, 0}});
        specimen.radius_A = std::max(specimen.radius_A, std::sqrt(dx * dx + dy * dy + dz * dz));
        sum += value;
      }
  if (specimen.scatterers.empty())
    throw Error(ErrorCode::bad_input, "{}: no voxel of the map exceeds {}", name, threshold);
  const double mean = sum / static_cast<double>(specimen.scatterers.size());
  specimen.form[0] = {{3.5 / 47.878 * voxel_A3 / mean, 0}};
  specimen.k_max_per_A = 0.5 / voxel_A;
  specimen.mass_kDa = static_cast<double>(specimen.scatterers.size()) * voxel_A3 / 1.21e3;
  return specimen;
}

Specimen made_up(std::uint64_t seed, double mass_kDa) {
  Rng rng(seed);
  Specimen specimen;
  specimen.name = fmt::format("made-up-{}", seed);
  specimen.form = {contrast_of(kind_of(gemmi::El::C), true), contrast_of(kind_of(gemmi::El::O), true)};
  const int balls = std::max(3, static_cast<int>(std::lround(mass_kDa / 30)));
  const int atoms_per_ball = static_cast<int>(mass_kDa * 1000 / 14.5 / balls);
  const double ball_radius_A = std::cbrt(mass_kDa * 1000 * 1.21 / balls * 3 / (4 * pi));
  double cx = 0, cy = 0, cz = 0;
  std::vector<double> masses;
  for (int b = 0; b < balls; ++b) {
    for (int i = 0; i < atoms_per_ball; ++i) {
      const double r = ball_radius_A * std::cbrt(rng.uniform()), c = rng.uniform(-1, 1), phi = rng.uniform(0, 2 * pi),
                   s = std::sqrt(1 - c * c);
      const bool oxygen = rng.uniform() < 0.25;
      specimen.scatterers.push_back({cx + r * s * std::cos(phi),
                                     cy + r * s * std::sin(phi),
                                     cz + r * c,
                                     {oxygen ? 0.0 : 1.0, oxygen ? 1.0 : 0.0}});
      masses.push_back(14.5);
    }
    const double c = rng.uniform(-1, 1), phi = rng.uniform(0, 2 * pi), s = std::sqrt(1 - c * c),
                 step = 1.5 * ball_radius_A;
    cx += step * s * std::cos(phi), cy += step * s * std::sin(phi), cz += step * c * 0.7;
    cx *= 0.8, cy *= 0.8, cz *= 0.8;  // keeps the walk compact
  }
  centre(specimen, masses);
  return specimen;
}

}  // namespace frazil::sim
