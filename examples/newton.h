/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef EXAMPLES_NEWTON_H
#define EXAMPLES_NEWTON_H

#include <stddef.h>
#include <stdint.h>
#include <tloop/loop.h>

/*
 * The electric potential u of charges f in salt water (Poisson, Boltzmann), on the unit square, 0
 * at its border:
 *
 *	F(u) = -Laplacian(u) + screening * sinh(u) - f = 0
 *
 * F is the gradient of a convex energy, so there is one solution, and the matrices of Newton's
 * method are symmetric and positive definite.
 */
struct potential {
	size_t side; /* the grid has side times side points inside, and the border around them */
	double screening;
	const double *charge; /* f at each point */
};

/* Newton's method. Its result is u, by rows of the grid. */
extern const struct tl_class newton_class;

struct newton { /* the config of such a loop */
	struct potential problem;
	struct tl_loop *linear; /* of class cg */
	double tolerance;       /* on the residual, beside that of u = 0 */
};

struct newton_state { /* the state of a run */
	double *u;
	double *residual;      /* F(u) */
	double norm;           /* of it: the root of the mean square */
	double target;         /* for the norm */
	double forcing;        /* how far the next linear solve reduces its residual */
	double length;         /* of the last step, 1 for all of it */
	uint64_t linear_steps; /* in the last step */
};

/* Conjugate gradients, for a system that is the input of a run. Its result is x. */
extern const struct tl_class cg_class;

struct linear_system { /* (-Laplacian + diagonal) x = right */
	size_t side;
	const double *diagonal;
	const double *right;
	double forcing; /* stop when the residual is this much of what it was for x = 0 */
};

struct cg_state { /* the state of a run */
	double *x, *residual, *direction;
	double square; /* residual * residual */
	double target; /* for it */
};

#endif
