#include "frazil/base/linalg.hpp"

#include <Eigen/Dense>

namespace frazil {

using Eigen::MatrixXd;
using Eigen::VectorXd;

SymmetricSolver::SymmetricSolver(const MatrixXd& a) : factors_(std::make_shared<Eigen::LDLT<MatrixXd>>(a)) {}

VectorXd SymmetricSolver::solve(const VectorXd& b) const { return factors_->solve(b); }

MatrixXd SymmetricSolver::solve(const MatrixXd& b) const { return factors_->solve(b); }

MatrixXd SymmetricSolver::inverse() const {
  return solve(MatrixXd(MatrixXd::Identity(factors_->rows(), factors_->cols())));
}

VectorXd solve_symmetric(const MatrixXd& a, const VectorXd& b) { return SymmetricSolver(a).solve(b); }

MatrixXd solve_symmetric(const MatrixXd& a, const MatrixXd& b) { return SymmetricSolver(a).solve(b); }

SquareSolver::SquareSolver(const MatrixXd& a) : factors_(std::make_shared<Eigen::PartialPivLU<MatrixXd>>(a)) {}

VectorXd SquareSolver::solve(const VectorXd& b) const { return factors_->solve(b); }

MatrixXd SquareSolver::inverse() const { return factors_->inverse(); }

double SquareSolver::log_determinant() const { return factors_->matrixLU().diagonal().array().abs().log().sum(); }

SymmetricEigen eigen_symmetric(const MatrixXd& a) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(a);
  return {solver.eigenvalues(), solver.eigenvectors()};
}

MatrixXd least_squares(const MatrixXd& a, const MatrixXd& b) { return a.completeOrthogonalDecomposition().solve(b); }

}  // namespace frazil
