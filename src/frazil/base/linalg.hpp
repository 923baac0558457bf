// Decompositions of matrices whose size is known at run time, compiled once for all who need them.
#pragma once

#include <Eigen/Core>
#include <memory>

namespace frazil {

/// A symmetric matrix, factored once for any number of right hand sides: pivoted Cholesky, P Lᵀ D L P.
class SymmetricSolver {
 public:
  /// @param a  symmetric, positive or negative (semi)definite; its lower triangle is read
  explicit SymmetricSolver(const Eigen::MatrixXd& a);
  /// x of a x = b; what a singular `a` does not determine is 0. Not finite where `a` or `b` is not.
  [[nodiscard]] Eigen::VectorXd solve(const Eigen::VectorXd& b) const;
  /// The same for each column of b.
  [[nodiscard]] Eigen::MatrixXd solve(const Eigen::MatrixXd& b) const;
  [[nodiscard]] Eigen::MatrixXd inverse() const;

 private:
  std::shared_ptr<const Eigen::LDLT<Eigen::MatrixXd>> factors_;
};

/// x of a x = b for one right hand side, or for one a column; `a` as SymmetricSolver takes it.
[[nodiscard]] Eigen::VectorXd solve_symmetric(const Eigen::MatrixXd& a, const Eigen::VectorXd& b);
[[nodiscard]] Eigen::MatrixXd solve_symmetric(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b);

/// A square matrix with an inverse, factored once: L U with partial pivoting.
class SquareSolver {
 public:
  explicit SquareSolver(const Eigen::MatrixXd& a);
  [[nodiscard]] Eigen::VectorXd solve(const Eigen::VectorXd& b) const;
  [[nodiscard]] Eigen::MatrixXd inverse() const;
  /// log |det a|.
  [[nodiscard]] double log_determinant() const;

 private:
  std::shared_ptr<const Eigen::PartialPivLU<Eigen::MatrixXd>> factors_;
};

/// Eigenvalues in increasing order and, column by column, their vectors of length 1.
struct SymmetricEigen {
  Eigen::VectorXd values;
  Eigen::MatrixXd vectors;
};
/// @param a  symmetric; its lower triangle is read
[[nodiscard]] SymmetricEigen eigen_symmetric(const Eigen::MatrixXd& a);

/// The x of least length among those that make |a x − b| least, column by column, by complete orthogonal decomposition:
/// `a` may lack rank.
[[nodiscard]] Eigen::MatrixXd least_squares(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b);

}  // namespace frazil
