    /// The mass matrix and its Coriolis part in two dimensions: angular rates have no Coriolis term and no gyroscopic
    /// one, all others are multiples of three vectors, and a link adds to its ancestors' columns alone.
    #[cfg(feature = "dim2")]
    fn planar_mass_matrix(&mut self, dt: Real, bodies: &RigidBodySet) {
        const MOST_LINKS: usize = 64;
        assert!(self.links.len() <= MOST_LINKS && self.ndofs <= 64);
        let turned = |v: Vector| Vector::new(-v.y, v.x);
        // Bit k: coordinate k moves the link.
        let mut movers = [0_u64; MOST_LINKS];
        for i in 0..self.links.len() {
            let link = &self.links[i];
            let body = &bodies[link.rigid_body];
            let (mass, inertia) = (body.mprops.effective_mass(), body.mprops.effective_angular_inertia());
            let spin = body.vels.angvel;
            let own = link.assembly_id..link.assembly_id + link.joint.ndofs();
            for k in own.clone() {
                match link.joint.kinematic {
                    true => self.augmented_mass_indices.remove(k),
                    false => self.augmented_mass_indices.keep(k),
                }
                movers[i] |= 1 << k;
            }
            if i == 0 {
                self.coriolis_v[0].fill(0.0);
            } else {
                let parent_id = link.parent_internal_id;
                let parent = &self.links[parent_id];
                let parent_spin = bodies[parent.rigid_body].vels.angvel;
                let by_parent =
                    3.0 * turned(link.joint_velocity.linvel) - (spin + parent_spin) * link.shift02;
                let parent_jacobian = &self.body_jacobians[parent_id];
                let (drift, parent_drift) = self.coriolis_v.index_mut2(i, parent_id);
                let mut left = movers[parent_id];
                while left != 0 {
                    let k = left.trailing_zeros() as usize;
                    left &= left - 1;
                    let turn = parent_jacobian[(2, k)];
                    drift[(0, k)] = parent_drift[(0, k)] + by_parent.x * turn;
                    drift[(1, k)] = parent_drift[(1, k)] + by_parent.y * turn;
                }
                movers[i] |= movers[parent_id];
                let mut joint = SMatrix::<Real, SPATIAL_DIM, SPATIAL_DIM>::zeros();
                if !link.joint.kinematic {
                    let frame = parent.local_to_world.rotation * link.joint.data.local_frame1.rotation;
                    link.joint.jacobian(&frame, &mut joint.columns_mut(0, own.len()));
                }
                for (column, k) in own.enumerate() {
                    drift[(0, k)] = -2.0 * parent_spin * joint[(1, column)];
                    drift[(1, k)] = 2.0 * parent_spin * joint[(0, column)];
                }
            }
            let by_spin = -2.0 * spin * link.shift23;
            let jacobian = &self.body_jacobians[i];
            let drift = &mut self.coriolis_v[i];
            let mut left = movers[i];
            while left != 0 {
                let k = left.trailing_zeros() as usize;
                left &= left - 1;
                let turn = jacobian[(2, k)];
                drift[(0, k)] += by_spin.x * turn;
                drift[(1, k)] += by_spin.y * turn;
                let moved = [mass.x * jacobian[(0, k)], mass.y * jacobian[(1, k)], inertia * turn];
                let drifted = [dt * mass.x * drift[(0, k)], dt * mass.y * drift[(1, k)]];
                let mut others = movers[i];
                while others != 0 {
                    let l = others.trailing_zeros() as usize;
                    others &= others - 1;
                    let [x, y, w] = [jacobian[(0, l)], jacobian[(1, l)], jacobian[(2, l)]];
                    self.augmented_mass[(l, k)] += x * moved[0] + y * moved[1] + w * moved[2];
                    self.acc_augmented_mass[(l, k)] += x * drifted[0] + y * drifted[1];
                }
            }
        }
        self.acc_augmented_mass += &self.augmented_mass;
    }

