#include "frazil/base/linalg.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "frazil/base/random.hpp"

namespace frazil {
namespace {

Eigen::MatrixXd random_matrix(int rows, int columns, Rng& rng) {
  Eigen::MatrixXd m(rows, columns);
  for (auto& value : m.reshaped()) value = rng.normal();
  return m;
}

TEST(Linalg, SolversUndoTheProduct) {
  Rng rng(3);
  for (const int n : {1, 2, 7, 40}) {
    const auto factor = random_matrix(n, n + 3, rng), square = random_matrix(n, n, rng), x = random_matrix(n, 3, rng);
    const Eigen::MatrixXd spd = factor * factor.transpose();
    EXPECT_LT((solve_symmetric(spd, Eigen::MatrixXd(spd * x)) - x).norm(), 1e-8 * x.norm()) << n;
    EXPECT_LT((solve_symmetric(spd, Eigen::VectorXd(spd * x.col(1))) - x.col(1)).norm(), 1e-8 * x.norm()) << n;
    EXPECT_LT((SymmetricSolver(spd).inverse() * spd - Eigen::MatrixXd::Identity(n, n)).norm(), 1e-8) << n;
    const SquareSolver solver(square);
    EXPECT_LT((solver.solve(square * x.col(2)) - x.col(2)).norm(), 1e-8 * x.norm()) << n;
    EXPECT_LT((square * solver.inverse() - Eigen::MatrixXd::Identity(n, n)).norm(), 1e-8) << n;
  }
}

TEST(Linalg, EigenvaluesRebuildTheMatrixAndTheDeterminant) {
  Rng rng(5);
  const auto m = random_matrix(12, 12, rng);
  const Eigen::MatrixXd a = m * m.transpose();
  const auto [values, vectors] = eigen_symmetric(a);
  EXPECT_LT((vectors * values.asDiagonal() * vectors.transpose() - a).norm(), 1e-10 * a.norm());
  for (int i = 1; i < 12; ++i) EXPECT_LE(values(i - 1), values(i));
  EXPECT_NEAR(values.array().log().sum(), SquareSolver(a).log_determinant(), 1e-6);
}

TEST(Linalg, LeastSquaresTakesTheShortestAnswerWhereColumnsRepeat) {
  Rng rng(7);
  Eigen::MatrixXd a = random_matrix(20, 4, rng);
  a.col(3) = a.col(0);
  const Eigen::MatrixXd b = a.col(0) * 2.0 - a.col(1);
  const Eigen::MatrixXd x = least_squares(a, b);
  EXPECT_LT((x - Eigen::Vector4d(1, -1, 0, 1)).norm(), 1e-10);
}

}  // namespace
}  // namespace frazil
