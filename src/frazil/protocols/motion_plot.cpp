#include "frazil/protocols/motion_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frazil/io/drawing.hpp"

namespace frazil::protocols {
namespace {

constexpr int panel = 400, gap = 30;
constexpr io::Colour white{255, 255, 255}, ink{60, 70, 80}, faint{222, 226, 230};

io::Colour colour_of(double part) {
  const auto mix = [part](int first, int last) {
    return static_cast<std::uint8_t>(std::lround(first + part * (last - first)));
  };
  return {mix(214, 11), mix(40, 95), mix(40, 190)};
}

/// 1, 2 or 5 times a power of ten, at most `value`.
double round_below(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  return power * (value >= 5 * power ? 5 : value >= 2 * power ? 2 : 1);
}

void draw_track(io::Picture& picture, const io::PictureBox& box, const std::vector<motion::Shift>& track,
                double sigma_A, double pixel_A) {
  double low_x = 1e300, high_x = -1e300, low_y = 1e300, high_y = -1e300;
  for (const auto& s : track) {
    low_x = std::min(low_x, -s.x * pixel_A), high_x = std::max(high_x, -s.x * pixel_A);
    low_y = std::min(low_y, -s.y * pixel_A), high_y = std::max(high_y, -s.y * pixel_A);
  }
  const double range = std::max({high_x - low_x, high_y - low_y, 1.0}) * 1.15 + 2 * sigma_A, scale = panel / range;
  const auto place_x = [&](double x) { return box.x + 0.5 * box.nx + (x - 0.5 * (low_x + high_x)) * scale; };
  const auto place_y = [&](double y) { return box.y + 0.5 * box.ny + (y - 0.5 * (low_y + high_y)) * scale; };
  const double tick = round_below(range / 3);
  for (double x = std::ceil((0.5 * (low_x + high_x) - range / 2) / tick) * tick; place_x(x) < box.x + box.nx;
       x += tick) {
    io::line(picture, box, place_x(x), box.y, place_x(x), box.y + box.ny, faint);
    io::text(picture, static_cast<int>(place_x(x)) + 3, box.y + box.ny - (io::text_height + 3),
             fmt::format("{:g} A", std::abs(x) < tick / 2 ? 0.0 : x), ink);
  }
  for (double y = std::ceil((0.5 * (low_y + high_y) - range / 2) / tick) * tick; place_y(y) < box.y + box.ny;
       y += tick) {
    io::line(picture, box, box.x, place_y(y), box.x + box.nx, place_y(y), faint);
    io::text(picture, box.x + 3, static_cast<int>(place_y(y)) + 3,
             fmt::format("{:g} A", std::abs(y) < tick / 2 ? 0.0 : y), ink);
  }
  for (std::size_t t = 0; t < track.size(); ++t) {
    const auto colour =
        colour_of(track.size() > 1 ? static_cast<double>(t) / static_cast<double>(track.size() - 1) : 0);
    const double x = place_x(-track[t].x * pixel_A), y = place_y(-track[t].y * pixel_A),
                 bar = std::max(2.0, sigma_A * scale);
    if (t > 0)
      io::line(picture, box, place_x(-track[t - 1].x * pixel_A), place_y(-track[t - 1].y * pixel_A), x, y, colour, 1.5);
    io::line(picture, box, x - bar, y, x + bar, y, colour);
    io::line(picture, box, x, y - bar, x, y + bar, colour);
  }
}

void draw_local(io::Picture& picture, const io::PictureBox& box, const motion::Alignment& alignment, int nx, int ny,
                double pixel_A) {
  constexpr int places = 8;
  const double to_picture = static_cast<double>(box.nx) / nx;
  double largest_A = 1e-3;
  const auto against_track = [&](int t, double x, double y) {
    const auto s = alignment.field.at(t, x, y), g = alignment.track[static_cast<std::size_t>(t)];
    return motion::Shift{-(s.x - g.x) * pixel_A, -(s.y - g.y) * pixel_A};
  };
  const auto for_places = [&](const auto& body) {
    for (int j = 0; j < places; ++j)
      for (int i = 0; i < places; ++i) body((i + 0.5) * nx / places, (j + 0.5) * ny / places);
  };
  for_places([&](double x, double y) {
    for (int t = 0; t < alignment.field.frames(); ++t) {
      const auto d = against_track(t, x, y);
      largest_A = std::max(largest_A, std::hypot(d.x, d.y));
    }
  });
  const double scale = 0.9 * box.nx / places / largest_A;  // picture pixels an Å
  for_places([&](double x, double y) {
    const double px = box.x + x * to_picture, py = box.y + y * to_picture;
    motion::Shift last;
    for (int t = 0; t < alignment.field.frames(); ++t) {
      const auto d = against_track(t, x, y);
      const auto colour =
          colour_of(alignment.field.frames() > 1 ? static_cast<double>(t) / (alignment.field.frames() - 1) : 0);
      io::line(picture, box, px + last.x * scale, py + last.y * scale, px + d.x * scale, py + d.y * scale, colour, 2);
      last = d;
    }
    io::line(picture, box, px, py, px, py, colour_of(0), 5);
  });
  const double bar_A = round_below(0.6 * panel / 4 / scale);
  io::line(picture, box, box.x + 12, box.y + box.ny - 8, box.x + 12 + bar_A * scale, box.y + box.ny - 8, ink, 3);
  io::text(picture, box.x + 14, box.y + box.ny - 22, fmt::format("{:g} A", bar_A), ink);
}

void frame(io::Picture& picture, const io::PictureBox& box) {
  const io::PictureBox all{0, 0, picture.nx, picture.ny};
  const double x1 = box.x + box.nx, y1 = box.y + box.ny;
  io::line(picture, all, box.x, box.y, x1, box.y, ink);
  io::line(picture, all, box.x, y1, x1, y1, ink);
  io::line(picture, all, box.x, box.y, box.x, y1, ink);
  io::line(picture, all, x1, box.y, x1, y1, ink);
}

}  // namespace

io::Picture plot_motion(const motion::Alignment& alignment, int nx, int ny, Angstrom pixel_size) {
  const bool local = !alignment.field.is_global();
  const int width =
      static_cast<int>(std::lround(static_cast<double>(panel) * std::min(1.0, static_cast<double>(nx) / ny)));
  const int height =
      static_cast<int>(std::lround(static_cast<double>(panel) * std::min(1.0, static_cast<double>(ny) / nx)));
  io::Picture picture(10 + panel + (local ? gap + width : 0) + 10, panel + 20, 3);
  io::fill(picture, {0, 0, picture.nx, picture.ny}, white);
  const io::PictureBox left{10, 10, panel, panel};
  draw_track(picture, left, alignment.track, alignment.sigma_px * pixel_size.value(), pixel_size.value());
  frame(picture, left);
  if (local) {
    const io::PictureBox right{10 + panel + gap, 10 + (panel - height) / 2, width, height};
    draw_local(picture, right, alignment, nx, ny, pixel_size.value());
    frame(picture, right);
  }
  return picture;
}

}  // namespace frazil::protocols
